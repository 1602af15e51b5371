"""What a first reader skips: converters, own material, exports."""
