package decimal

import "testing"

func TestAdd(t *testing.T) {
	for _, c := range []struct {
		value string
		delta int64
		want  string // "": an error
		sum   int64
	}{
		{"1", 2, "ok", 3}, {"-1", 1, "ok", 0}, {"", 1, "", 0}, {"1.5", 1, "", 0}, {" 1", 1, "", 0},
		{"9223372036854775806", 1, "ok", 9223372036854775807}, {"9223372036854775807", 1, "", 0},
		{"-9223372036854775807", -1, "ok", -9223372036854775808}, {"-9223372036854775808", -1, "", 0},
	} {
		if sum, err := Add([]byte(c.value), c.delta); (err == nil) != (c.want == "ok") || sum != c.sum {
			t.Errorf("%s and %d: %d, %v", c.value, c.delta, sum, err)
		}
	}
}
