package statsd

import (
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/micro/go-platform/metrics"
)

// senderFunc is a sender that hands packets to a function.
type senderFunc func([]byte)

func (f senderFunc) Send(b []byte) (int, error) { f(b); return len(b), nil }
func (f senderFunc) Close() error               { return nil }

// lineOf is what a counter with one label is written as.
func lineOf(d Dialect, value string) string {
	sent := ""
	drv := &driver{options: options{dialect: d, packet: 1432}, sender: senderFunc(func(b []byte) { sent = string(b) }), last: map[uint64]total{}}
	snap := &metrics.Snapshot{Families: []metrics.Family{{Name: "n", Kind: metrics.KindCounter, Keys: []string{"k"},
		Series: []metrics.Series{{ID: 1, Values: []string{value}, Count: 3, Value: 3}}}}}
	if _, err := drv.Export(context.Background(), snap); err != nil {
		return "error: " + err.Error()
	}
	return sent
}

// Whatever a label's value, a line has the structure of its dialect and no more.
func FuzzLabelValues(f *testing.F) {
	for _, s := range []string{"", "v", "a:b,c|d\n", "x\\", "#@=;", "\x00\xff", "ä\u2028", strings.Repeat("ü", 300), "~x", "-", "__overflow__"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for d, want := range map[Dialect][2]string{Plain: {"n.", ":3|c"}, Telegraf: {"n,k=", ":3|c"}, DogStatsD: {"n:3|c|#k:", ""}, Graphite: {"n;k=", ":3|c"}} {
			line := lineOf(d, value)
			if value == "" && d != Plain || line == "n:3|c" {
				continue // left out
			}
			rest, ok := strings.CutPrefix(line, want[0])
			if !ok {
				t.Fatalf("%d: %q", d, line)
			}
			rest, ok = strings.CutSuffix(rest, want[1])
			if !ok || rest == "" || len(rest) > maxValue || !utf8.ValidString(rest) {
				t.Fatalf("%d: %q", d, line)
			}
			for _, r := range rest {
				if r < ' ' || strings.ContainsRune(special[d], r) {
					t.Fatalf("%d: %q has %q in its value", d, line, r)
				}
			}
		}
	})
}
