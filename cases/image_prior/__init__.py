"""Deep image prior (Ulyanov, Vedaldi, Lempitsky 2018): watermarks, holes and noise, from one picture alone."""
