"""The playground: a local web page for one's own pictures. What a tab shows stands in cases/<case>/play.py."""
