#pragma once

int kiosk_price(int amount);
