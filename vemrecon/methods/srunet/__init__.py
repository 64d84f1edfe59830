"""SRUNet: the supervised 3D U-Net that the D2R papers compare with."""
