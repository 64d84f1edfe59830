"""IRSDE: axial sections restored one by one by a diffusion learned on lateral ones (D2R, stages I and II)."""
