package backendtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/micro/go-platform/discovery"
)

// Opened is a backend with some options, and what becomes of it.
type Opened struct {
	backend discovery.Option
	want    string // what the error says; "": there is none
}

// Taken is a backend that opens.
func Taken(backend discovery.Option) Opened { return Opened{backend, ""} }

// Refused is a backend whose error is ErrInvalid, and says want.
func Refused(backend discovery.Option, want string) Opened { return Opened{backend, want} }

// Options opens backends without their servers.
func Options(t *testing.T, all map[string]Opened) {
	for name, c := range all {
		d, err := discovery.New(c.backend, discovery.WithLazy())
		switch {
		case c.want != "":
			if !errors.Is(err, discovery.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want ErrInvalid with %q", name, err, c.want)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			if err := d.Close(); err != nil {
				t.Errorf("%s: Close: %v", name, err)
			}
		}
	}
}
