#pragma once

/// The amount with tax.
int shop_with_tax(int amount);
