"""CycleGAN-IR (IsoRecon): two section translators trained together without pairs (MICCAI 2020)."""
