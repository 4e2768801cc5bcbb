package sql

import (
	"math"
	"testing"
)

// Clients give integers as int64, or as the text that the server sent.
func TestNumbersAreScanned(t *testing.T) {
	for _, c := range []struct {
		from any
		want number
		ok   bool
	}{
		{int64(math.MaxInt64), math.MaxInt64, true}, {int64(-1), -1, true},
		{[]byte("42"), 42, true}, {"-42", -42, true}, {int32(7), 7, true},
		{"9223372036854775808", 0, false}, {"4x", 0, false}, {nil, 0, false},
	} {
		n := number(5)
		err := n.Scan(c.from)
		if (err == nil) != c.ok || c.ok && n != c.want {
			t.Errorf("%T %v: %d, %v, want %d, %v", c.from, c.from, n, err, c.want, c.ok)
		}
	}
}
