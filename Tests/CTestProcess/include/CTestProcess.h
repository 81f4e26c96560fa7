#pragma once
// What a test process sets before its first test; nothing to call.
