package consul_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/consul"
)

func TestOptionsHaveLimits(t *testing.T) {
	for name, c := range map[string]struct {
		backend discovery.Option
		want    string // in the error; "": none
	}{
		"the shortest wait": {consul.Backend("h", consul.WithWait(time.Second)), ""},
		"a shorter wait":    {consul.Backend("h", consul.WithWait(time.Second-1)), "wait 999.999999ms"},
		"the longest wait":  {consul.Backend("h", consul.WithWait(10*time.Minute)), ""},
		"a longer wait":     {consul.Backend("h", consul.WithWait(10*time.Minute+1)), "wait 10m0.000000001s"},
		"no queries":        {consul.Backend("h", consul.WithQueries(0)), ""},
		"fewer":             {consul.Backend("h", consul.WithQueries(-1)), "-1 queries"},
		"nil":               {consul.Backend("h", nil), "option 1 is nil"},
		"no address":        {consul.Backend(""), "address"},
		"no engine":         {consul.On(nil), "engine"},
	} {
		d, err := discovery.New(c.backend, discovery.WithLazy())
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if err := d.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, discovery.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ErrInvalid with %q", name, err, c.want)
		}
	}
}
