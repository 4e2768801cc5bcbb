package config_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
)

// Constraints hold for what is not set, too: a program that asks for at least
// one worker never gets none. Each with its twin.
func TestConstraintsHoldForAbsentValues(t *testing.T) {
	type inner struct {
		N int `min:"1"`
	}
	for name, c := range map[string]struct {
		scan     func(config.Value) error
		problem  string // "": zero is allowed
		required bool   // by the schema
	}{
		"min above 0": {scan[struct {
			A int `min:"1"`
		}], "a: nothing is set, want a value of 1 or more", true},
		"min of 0": {scan[struct {
			A int `min:"0"`
		}], "", false},
		"min below 0": {scan[struct {
			A int `min:"-1"`
		}], "", false},
		"max below 0": {scan[struct {
			A int `max:"-1"`
		}], "a: nothing is set, want a value of -1 or less", true},
		"max of 0": {scan[struct {
			A int `max:"0"`
		}], "", false},
		"min with default": {scan[struct {
			A int `min:"1" default:"2"`
		}], "", false},
		"duration": {scan[struct {
			A time.Duration `min:"1s"`
		}], "a: nothing is set, want a value of 1s or more", true},
		"float": {scan[struct {
			A float64 `min:"0.5" max:"1"`
		}], "a: nothing is set, want a value from 0.5 to 1", true},
		"enum": {scan[struct {
			A string `enum:"a,b"`
		}], "a: nothing is set, want one of a, b", true},
		"enum with nothing": {scan[struct {
			A string `enum:",a"`
		}], "", false},
		"enum of numbers": {scan[struct {
			A int `enum:"1,2"`
		}], "a: nothing is set, want one of 1, 2", true},
		"enum with 0": {scan[struct {
			A int `enum:"0,1"`
		}], "", false},
		"enum and default": {scan[struct {
			A string `enum:"a,b" default:"a"`
		}], "", false},
		"in a struct":      {scan[struct{ A inner }], "a.n: nothing is set, want a value of 1 or more", true},
		"behind a pointer": {scan[struct{ A *inner }], "", false},
		"in a map":         {scan[struct{ A map[string]inner }], "", false},
	} {
		s, err := config.ParseSnapshot(nil, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		err = c.scan(s.Get(""))
		if c.problem == "" && err != nil || c.problem != "" && (!errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%s: got %v, want %q", name, err, c.problem)
		}
	}
}

// scan decodes v as a T and checks that the schema of T requires what Scan
// misses.
func scan[T any](v config.Value) error {
	err := v.Scan(new(T))
	schema, schemaErr := config.SchemaOf[T]()
	if schemaErr != nil {
		return schemaErr
	}
	var s struct{ Required []string }
	if e := json.Unmarshal(schema, &s); e != nil {
		return e
	}
	if (err != nil) != (len(s.Required) > 0) {
		return fmt.Errorf("Scan says %v, the schema requires %v", err, s.Required)
	}
	return err
}

func TestIntegersMayBeWrittenWithFractionOrExponent(t *testing.T) {
	for in, want := range map[string]struct {
		i  int64
		u  uint64
		ok [2]bool
	}{
		"80.0": {80, 80, [2]bool{true, true}}, "1e18": {1e18, 1e18, [2]bool{true, true}}, "1.5e1": {15, 15, [2]bool{true, true}}, "-2.0": {-2, 0, [2]bool{true, false}},
		"0e5": {0, 0, [2]bool{true, true}}, "80.5": {}, "1e-1": {}, "1e19": {0, 1e19, [2]bool{false, true}}, "1e20": {}, "1e300": {}, "1e-300": {},
		"9223372036854775807.0": {9223372036854775807, 9223372036854775807, [2]bool{true, true}}, "9223372036854775808.0": {0, 9223372036854775808, [2]bool{false, true}},
		"18446744073709551615.0": {0, 18446744073709551615, [2]bool{false, true}}, "18446744073709551616.0": {}, "-9223372036854775808.0": {-9223372036854775808, 0, [2]bool{true, false}}, "-9223372036854775809.0": {},
	} {
		s, err := config.ParseSnapshot(nil, []byte(`{"n":`+in+`}`))
		if err != nil {
			t.Fatal(err)
		}
		i, err := config.As[int64](s.Get("n"))
		if (err == nil) != want.ok[0] || i != want.i {
			t.Errorf("%s as int64: got %d, %v, want %d, %v", in, i, err, want.i, want.ok[0])
		}
		u, err := config.As[uint64](s.Get("n"))
		if (err == nil) != want.ok[1] || u != want.u {
			t.Errorf("%s as uint64: got %d, %v, want %d, %v", in, u, err, want.u, want.ok[1])
		}
		if got := string(s.Get("n").Bytes()); got != in {
			t.Errorf("%s became %s", in, got)
		}
	}
}

// Absent and empty may be; malformed is somebody's mistake.
func TestOptionalSourceMayBeAbsentButNotMalformed(t *testing.T) {
	for name, c := range map[string]struct {
		doc   string
		err   error // of the source
		fails error
	}{
		"absent":         {"", config.ErrNotFound, nil},
		"empty":          {" \n", nil, nil},
		"unavailable":    {"", fmt.Errorf("it is down: %w", config.ErrUnavailable), nil},
		"well":           {`{"n":1}`, nil, nil},
		"malformed":      {`{"n":`, nil, config.ErrInvalid},
		"no object":      {`[1]`, nil, config.ErrInvalid},
		"duplicate keys": {`{"n":1,"n":2}`, nil, config.ErrInvalid},
		"too large":      {`{"n":"` + strings.Repeat("x", config.MaxSize) + `"}`, nil, config.ErrTooLarge},
	} {
		m := config.Memory("m", nil)
		m.Update(config.Content{Parts: []config.Part{{Data: []byte(c.doc)}}}, c.err)
		cfg, err := config.New(config.WithSource(m, config.Optional()))
		if c.fails == nil && err != nil || c.fails != nil && !errors.Is(err, c.fails) {
			t.Errorf("%s: New returned %v, want %v", name, err, c.fails)
		}
		if err != nil {
			if !strings.Contains(err.Error(), "memory m") {
				t.Errorf("%s: %v doesn't name the source", name, err)
			}
			continue
		}
		m.Update(config.Content{Parts: []config.Part{{Data: []byte(`{"n":`)}}}, nil) // later the old content stays
		if err := cfg.Reload(context.Background()); !errors.Is(err, config.ErrInvalid) || cfg.Health().OK {
			t.Errorf("%s, malformed later: %v, health %+v", name, err, cfg.Health())
		}
		cfg.Close()
	}
}
