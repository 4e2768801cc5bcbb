package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/redis"
)

func TestOptionsHaveLimits(t *testing.T) {
	for name, c := range map[string]struct {
		backend discovery.Option
		want    string // in the error; "": none
	}{
		"the shortest poll": {redis.Backend("h", redis.WithPoll(time.Second)), ""},
		"a shorter one":     {redis.Backend("h", redis.WithPoll(time.Second-1)), "poll period 999.999999ms"},
		"nil":               {redis.Backend("h", nil), "option 1 is nil"},
		"no address":        {redis.Backend(""), "address"},
		"no engine":         {redis.On(nil), "engine"},
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
