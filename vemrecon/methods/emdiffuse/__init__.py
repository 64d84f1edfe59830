"""vEMDiffuse: sections between observed ones, drawn from a diffusion that is given both neighbours."""
