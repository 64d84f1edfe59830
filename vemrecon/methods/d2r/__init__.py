"""D2R: networks that interpolate between sections (AENet, DGEAN), trained on isotropic volumes."""
