package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
)

// Limits are exact for each type: below, at and above.
func TestLimitsAreExact(t *testing.T) {
	for _, c := range []struct {
		name  string
		scan  func(config.Value) error
		taken []string
		not   []string
	}{
		{"int64 at its lowest but one", scanOnly[struct {
			N int64 `min:"-9223372036854775807"`
		}], []string{`-9223372036854775807`}, []string{`-9223372036854775808`}},
		{"uint64 above int64", scanOnly[struct {
			N uint64 `max:"9223372036854775808"`
		}], []string{`9223372036854775808`, `-0`}, []string{`9223372036854775809`}},
		{"between two float64", scanOnly[struct {
			N int64 `min:"9007199254740993"`
		}], []string{`9007199254740993`}, []string{`9007199254740992`}},
		{"float32", scanOnly[struct {
			N float32 `min:"-0.1" max:"0.1"`
		}], []string{`0.1`, `-0.1`}, []string{`0.11`, `-0.11`}},
		{"fraction of an int", scanOnly[struct {
			N int `min:"0.5" default:"1"`
		}], []string{`1`}, []string{`0`}},
		{"duration", scanOnly[struct {
			N time.Duration `min:"1s" max:"1m" default:"1s"`
		}], []string{`"1s"`, `"60s"`}, []string{`"999999999ns"`, `"60.000000001s"`}},
		{"behind a pointer", scanOnly[struct {
			N *int `min:"1" max:"3"`
		}], []string{`1`, `3`, `null`}, []string{`0`, `4`}},
		{"enum by value", scanOnly[struct {
			N float64 `enum:"1.5,2"`
		}], []string{`1.5`, `2`, `2.0`, `15e-1`}, []string{`1`, `2.5`}},
		{"enum of integers", scanOnly[struct {
			N uint8 `enum:"0,80"`
		}], []string{`80`, `80.0`, `8e1`, `0`}, []string{`81`}},
		{"enum behind a pointer", scanOnly[struct {
			N *int `enum:"1,2"`
		}], []string{`1`, `2.0`}, []string{`0`}},
	} {
		for i, docs := range [][]string{c.taken, c.not} {
			for _, n := range docs {
				s, err := config.ParseSnapshot(nil, []byte(`{"n":`+n+`}`))
				if err != nil {
					t.Fatal(err)
				}
				err = c.scan(s.Get(""))
				if i == 0 && err != nil || i == 1 && !errors.Is(err, config.ErrInvalid) {
					t.Errorf("%s: %s: got %v", c.name, n, err)
				}
			}
		}
	}
}

// A tag that can't be a limit is a mistake of the program, not a value that
// nothing satisfies.
func TestTagsThatAreNoLimitsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		schema func() ([]byte, error)
		want   string
	}{
		"min of a number": {config.SchemaOf[struct {
			N int `min:"one"`
		}], `min: "one" is no limit for int`},
		"max with a sign": {config.SchemaOf[struct {
			N int `max:"+1"`
		}], `max: "+1" is no limit for int`},
		"min of a text": {config.SchemaOf[struct {
			N string `min:"1"`
		}], `min: "1" is no limit for string`},
		"enum of a number": {config.SchemaOf[struct {
			N int `enum:"1,two"`
		}], `enum: "two" is no int`},
		"enum out of range": {config.SchemaOf[struct {
			N uint8 `enum:"255,256"`
		}], `enum: "256" is no uint8`},
		"well": {config.SchemaOf[struct {
			N uint8   `enum:"254,255" min:"1" max:"255" default:"254"`
			M *int    `min:"1"`
			F float64 `default:"+.5"`
			S string  `enum:"1,two" default:"two"`
		}], ""},
	} {
		_, err := c.schema()
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func scanOnly[T any](v config.Value) error { return v.Scan(new(T)) }

func TestNullIsNoTime(t *testing.T) {
	type list struct{ At []time.Time }
	for doc, ok := range map[string]bool{`{"at":["2026-11-22T10:00:00Z"]}`: true, `{"at":[null]}`: false} {
		s, err := config.ParseSnapshot(nil, []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Get("").Scan(new(list))
		if ok != (err == nil) {
			t.Errorf("%s: got %v", doc, err)
		}
	}
}
