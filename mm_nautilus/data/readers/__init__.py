"""Readers of file formats that are no tables: what each makes of its files is `mm_nautilus.data.reader`'s rows."""
