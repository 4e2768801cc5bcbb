package kafka

import (
	"errors"
	"strings"
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// Each option at its limits, and beyond them.
func TestLimitsOfOptions(t *testing.T) {
	long := strings.Repeat("t", maxTopic)
	for name, c := range map[string]struct {
		opt  Option
		has  func(config) bool
		fine bool
	}{
		"a topic":             {WithTopic("a.b_C-1"), func(c config) bool { return c.topic == "a.b_C-1" }, true},
		"three dots":          {WithTopic("..."), func(c config) bool { return c.topic == "..." }, true},
		"a long topic":        {WithTopic(long), func(c config) bool { return c.topic == long }, true},
		"a topic too long":    {WithTopic(long + "t"), nil, false},
		"no topic":            {WithTopic(""), nil, false},
		"a dot":               {WithTopic("."), nil, false},
		"two dots":            {WithTopic(".."), nil, false},
		"a slash at the end":  {WithTopic("a/"), nil, false},
		"no partition":        {WithPartitions(0), nil, false},
		"one partition":       {WithPartitions(1), func(c config) bool { return c.partitions == 1 }, true},
		"many partitions":     {WithPartitions(maxPartitions), func(c config) bool { return c.partitions == maxPartitions }, true},
		"too many partitions": {WithPartitions(maxPartitions + 1), nil, false},
		"no replica":          {WithReplicas(0), nil, false},
		"one replica":         {WithReplicas(1), func(c config) bool { return c.replicas == 1 }, true},
		"many replicas":       {WithReplicas(1<<15 - 1), func(c config) bool { return c.replicas == 1<<15-1 }, true},
		"too many replicas":   {WithReplicas(1 << 15), nil, false},
		"a key":               {WithKey(event.ByRoot), func(c config) bool { return c.key(&event.Record{RootID: "s"}) == "s" }, true},
		"no key":              {WithKey(nil), nil, false},
	} {
		got, err := conn.Apply(config{}, []Option{c.opt})
		if (err == nil) != c.fine || !c.fine && !errors.Is(err, fault.Invalid) || c.fine && !c.has(got) {
			t.Errorf("%s: %+v, %v, want it to be fine: %v", name, got, err, c.fine)
		}
	}
}
