package monitor

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Severity says what a failing check means for its probe.
type Severity uint8

const (
	Critical Severity = iota // the probe fails
	Soft                     // the state is warn and the probe passes
)

// Probe is the endpoint that a check decides.
type Probe uint8

const (
	Readiness Probe = iota // /readyz
	Startup                // /startupz, and /readyz until it has passed once; it doesn't run again after that
	Info                   // none: it is only shown
)

// Check is one health check. Name and either Func or TTL are required.
type Check struct {
	Name        string
	Description string

	// Func does the check; nil is good. Its context ends at Timeout and at
	// Close. It never runs twice at the same time.
	Func func(ctx context.Context) error

	// TTL makes the check passive: Beat must be called more often than this,
	// or the check fails. Func is then nil.
	TTL time.Duration

	Probe    Probe
	Severity Severity

	Interval  time.Duration // between runs, with ±10 % jitter; 0 means 10 s
	Timeout   time.Duration // of one run; 0 means 2 s
	Delay     time.Duration // before the first run; 0 means at once
	FailAfter int           // failures in a row that make it fail; 0 means 3. The first result counts at once
	PassAfter int           // successes in a row that make it pass again; 0 means 1

	// Dependency names what is checked if instances share it ("db.orders"):
	// a failure that most instances share only warns.
	Dependency string
}

// normalise checks c and fills in the defaults.
func (c Check) normalise() (Check, error) {
	switch {
	case c.Name == "":
		return c, fmt.Errorf("check without a name")
	case c.Func == nil && c.TTL == 0:
		return c, fmt.Errorf("needs Func or TTL")
	case c.Func != nil && c.TTL != 0:
		return c, fmt.Errorf("has both Func and TTL")
	case c.TTL < 0 || c.Interval < 0 || c.Timeout < 0 || c.Delay < 0:
		return c, fmt.Errorf("negative duration")
	case c.FailAfter < 0 || c.PassAfter < 0:
		return c, fmt.Errorf("negative threshold")
	case c.Probe > Info || c.Severity > Soft:
		return c, fmt.Errorf("unknown probe or severity")
	}
	c.Interval = cmp.Or(c.Interval, 10*time.Second)
	c.Timeout = cmp.Or(c.Timeout, 2*time.Second)
	c.FailAfter = cmp.Or(c.FailAfter, 3)
	c.PassAfter = cmp.Or(c.PassAfter, 1)
	return c, nil
}
