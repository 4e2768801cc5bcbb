package relay

import (
	"math"
	"time"

	"github.com/micro/go-platform/discovery"
)

// beat is how often a stream says that nothing has changed.
const beat = 10 * time.Second

// line is one line of a stream, as JSON.
type line struct {
	Instances []discovery.Instance `json:"instances,omitempty"`
	Preserved int                  `json:"preserved,omitempty"` // at the end of Instances
	Same      bool                 `json:"same,omitempty"`      // as the line before, which is confirmed
	Age       int64                `json:"age_ms,omitempty"`    // since the registry confirmed it to the relay
	Stale     string               `json:"stale,omitempty"`     // why it doesn't any more
}

// valid reports whether a line is one that a relay would send.
func (l *line) valid() bool {
	return l.Preserved >= 0 && l.Preserved <= len(l.Instances) && l.Age >= 0 && l.Age <= math.MaxInt64/int64(time.Millisecond)
}
