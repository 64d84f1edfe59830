"""EMGauss: sections as a movie of deformable 2D Gaussians, fitted to the volume at hand."""
