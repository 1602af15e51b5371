"""From files to samples: pictures, videos, pairs, the embedded sample sets, checks and downloads."""
