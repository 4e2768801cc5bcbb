package monitor

import "testing"

// DriverOf returns the driver of a Memory, to be wrapped by a test.
func DriverOf(t testing.TB, m *Memory) Driver { return memoryDriver{m} }
