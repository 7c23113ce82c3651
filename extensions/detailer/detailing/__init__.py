"""Finding things in pictures and painting them anew at full size. Start reading at `detailing.units`, then `detailing.finding`."""
