"""What a study is, how its page is written, and what the studies of the peak function share."""
