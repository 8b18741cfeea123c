// Edited, too.
// Shelf
