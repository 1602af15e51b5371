"""What a first reader skips: meshes beyond one homography, measured."""
