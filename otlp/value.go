package otlp

import (
	"math"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// bad is an error about a variable. Values that may be secret stay out of it.
func bad(variable, format string, args ...any) error {
	return fault.Wrap("otlp", "read", variable, fault.Markf(ErrInvalid, format, args...))
}

// wrong is bad with a cause.
func wrong(variable string, err error) error {
	return fault.Wrap("otlp", "read", variable, fault.Mark(ErrInvalid, err))
}

// value returns a variable without the white space around it. An empty one is
// as good as none, as the specification says.
func value(variable string) string { return strings.TrimSpace(os.Getenv(variable)) }

// truth reads true or false, in any case.
func truth(variable string) (bool, error) {
	switch v := strings.ToLower(value(variable)); v {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, bad(variable, "%q, want true or false", v)
	}
}

// milliseconds reads a positive number of milliseconds; 0 is none.
func milliseconds(variable string) (time.Duration, error) {
	v := value(variable)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/int64(time.Millisecond) {
		return 0, bad(variable, "%q, want a number of milliseconds", v)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// ratio reads a number from 0 to 1, which is 1 unless the variable is set.
func ratio(variable string) (float64, error) {
	v := value(variable)
	if v == "" {
		return 1, nil
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || !(n >= 0 && n <= 1) {
		return 0, bad(variable, "%q, want a number from 0 to 1", v)
	}
	return n, nil
}

type pair struct{ key, value string }

// pairs reads "key1=value1,key2=value2", whose values are percent-encoded.
func pairs(variable, list string) (all []pair, err error) {
	if list == "" {
		return nil, nil
	}
	for i, one := range strings.Split(list, ",") {
		key, v, ok := strings.Cut(one, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			return nil, bad(variable, "entry %d is not key=value", i+1)
		}
		v, err = url.PathUnescape(strings.TrimSpace(v))
		if err != nil { // which repeats the value
			return nil, bad(variable, "the value of %q is not percent-encoded", key)
		}
		all = append(all, pair{key, v})
	}
	return all, nil
}
