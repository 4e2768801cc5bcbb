package monitor

import (
	"fmt"
	"slices"
	"time"
)

// Presence says how an instance is in a view.
type Presence uint8

const (
	Present Presence = iota // its reports come
	Lost                    // its reports ended without a word
	Gone                    // it said that it stops
)

var presenceNames = [...]string{"present", "lost", "stopped"}

// String returns "present", "lost" or "stopped".
func (p Presence) String() string { return name(presenceNames[:], int(p)) }

// MarshalText makes a Presence its name in JSON.
func (p Presence) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a name.
func (p *Presence) UnmarshalText(b []byte) error { return unname(presenceNames[:], b, p) }

// Member is one instance in a view.
type Member struct {
	Report
	Presence Presence      `json:"presence"`
	Age      time.Duration `json:"age"` // since its newest report was heard here
}

// View is how a service is, as one observer sees it.
type View struct {
	Service  string         `json:"service"`
	Observer string         `json:"observer"` // the instance that sees it so
	Verdict  State          `json:"verdict"`
	Reasons  []string       `json:"reasons,omitempty"` // why the verdict is not pass
	Expected int            `json:"expected"`          // how many instances discovery knows; -1: nobody knows
	Pass     int            `json:"pass"`
	Warn     int            `json:"warn"`
	Fail     int            `json:"fail"`
	Unknown  int            `json:"unknown"`
	Lost     int            `json:"lost"`
	Stopped  int            `json:"stopped"`
	ByCheck  map[string]int `json:"byCheck,omitempty"` // how many instances fail each check
	Members  []Member       `json:"members"`           // by id
}

func (v *View) count(m Member) {
	s := m.Status
	switch {
	case s.Phase == Stopped:
		m.Presence = Gone
		v.Stopped++
	case m.Age > m.TTL:
		m.Presence = Lost
		v.Lost++
	default:
		switch {
		case !s.Ready || s.State == Fail:
			v.Fail++
		case s.State == Pass:
			v.Pass++
		case s.State == Warn:
			v.Warn++
		default:
			v.Unknown++
		}
		for _, r := range s.Checks {
			if r.State == Fail || r.Shared {
				v.ByCheck[r.Name]++
			}
		}
	}
	v.Members = append(v.Members, m)
}

// judge sets the verdict. Unknown wins: who hears too few may be the one that
// is cut off.
func (v *View) judge(p Policy) {
	heard, healthy := v.Pass+v.Warn+v.Fail+v.Unknown, v.Pass+v.Warn
	need := p.MinHealthy * float64(v.Expected)
	reason := func(s State, format string, args ...any) {
		if s == Unknown || s > v.Verdict {
			v.Verdict = s
		}
		v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
	}
	v.Verdict = Pass
	switch {
	case v.Expected < 0:
		reason(Unknown, "no list of the instances that there should be")
	case v.Expected == 0 && heard == 0:
		reason(Unknown, "no instances")
	case float64(heard) < need:
		reason(Unknown, "%d of %d instances heard: this observer may be cut off", heard, v.Expected)
	case float64(healthy) < need:
		reason(Fail, "%d of %d instances healthy", healthy, v.Expected)
	case heard < v.Expected:
		reason(Warn, "%d of %d instances heard", heard, v.Expected)
	}
	if v.Verdict == Unknown {
		return
	}
	for _, x := range []struct {
		n    int
		what string
	}{{v.Fail, "fail"}, {v.Warn, "warn"}, {v.Unknown, "unknown"}, {v.Lost, "lost"}} {
		if x.n > 0 {
			reason(Warn, "%d %s", x.n, x.what)
		}
	}
}

// same reports whether two views differ in nothing but ages and numbers.
func (v View) same(o View) bool {
	return v.Verdict == o.Verdict && v.Expected == o.Expected && slices.Equal(v.Reasons, o.Reasons) &&
		slices.EqualFunc(v.Members, o.Members, func(a, b Member) bool {
			return a.Status.Instance == b.Status.Instance && a.Presence == b.Presence && a.Status.same(b.Status)
		})
}
