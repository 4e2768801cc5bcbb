package accept_test

import (
	"testing"

	"github.com/micro/go-platform/internal/accept"
)

func TestGzip(t *testing.T) {
	for _, test := range []struct {
		lines []string
		want  bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"gzip"}, true},
		{[]string{"GZip"}, true},
		{[]string{"x-gzip"}, true},
		{[]string{"gzips"}, false},
		{[]string{"br, deflate"}, false},
		{[]string{"br, gzip"}, true},
		{[]string{"br", "gzip"}, true},
		{[]string{"gzip;q=0"}, false},
		{[]string{"gzip;q=0.000"}, false},
		{[]string{"gzip;q=0.001"}, true},
		{[]string{"gzip ; Q=0.5"}, true},
		{[]string{"gzip;q=1"}, true},
		{[]string{"gzip;q=1.001"}, false},
		{[]string{"gzip;q=-0.1"}, false},
		{[]string{"gzip;q=NaN"}, false},
		{[]string{"gzip;q="}, false},
		{[]string{"gzip;q=x"}, false},
		{[]string{"*"}, true},
		{[]string{"*;q=0"}, false},
		{[]string{"identity, *;q=0.1"}, true},
		{[]string{"gzip;q=0, *"}, false}, // what is named is not one of the rest
		{[]string{"*, gzip;q=0"}, false},
		{[]string{"gzip, *;q=0"}, true},
	} {
		if got := accept.Gzip(test.lines); got != test.want {
			t.Errorf("Gzip(%q) = %v", test.lines, got)
		}
	}
}

func TestPartsOfAllLines(t *testing.T) {
	var got []string
	var weights []float64
	for part, q := range accept.Parts([]string{"a;x=1;q=0.5,b", "c;q=2"}) {
		got, weights = append(got, part), append(weights, q)
	}
	if len(got) != 3 || got[0] != "a;x=1;q=0.5" || got[1] != "b" || got[2] != "c;q=2" || weights[0] != .5 || weights[1] != 1 || weights[2] != 0 {
		t.Errorf("got %q, %v", got, weights)
	}
	for part := range accept.Parts([]string{"a,b"}) {
		if part != "a" {
			t.Errorf("went on with %q", part)
		}
		break
	}
}
