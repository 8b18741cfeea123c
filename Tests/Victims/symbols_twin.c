int in_two_images(int x) { return x * 7; }
