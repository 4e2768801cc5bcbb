// Package decimal adds to numbers that a store keeps as text.
package decimal

import (
	"errors"
	"fmt"
	"strconv"
)

// Add returns the sum of a decimal int64 and delta. What is no number, and a sum
// that an int64 does not hold, are errors.
func Add(value []byte, delta int64) (int64, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, errors.New("the value is not a number")
	}
	sum := n + delta
	if (sum > n) != (delta > 0) {
		return 0, fmt.Errorf("%d and %d overflow", n, delta)
	}
	return sum, nil
}
