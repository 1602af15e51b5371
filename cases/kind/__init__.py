"""KinD (chapter B2): decomposition, reflectance restoration, illumination adjustment."""
