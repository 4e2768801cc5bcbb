package eventtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

// anyCloudEvent publishes records with whatever names CloudEvents 1.0 allows: any
// characters but control characters, surrogates and what Unicode calls
// noncharacters, in any number; attributes of a to z and 0 to 9 with any string as
// their value. They come back as they were, to groups, to queries and to look-ups.
func anyCloudEvent(t *testing.T, b *bench) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	s := b.open(t)
	var g got
	subscribe(t, s, g.handle, event.Group("g"), event.Types("**", "dead.**"))
	const n = 100
	records, want := make([]*event.Record, n), make([]string, n)
	for i := range records {
		r := &event.Record{
			ID: fmt.Sprint(i, anyText(rng)), Type: "x" + anyText(rng), Source: anyText(rng), Subject: anyText(rng),
			RootID: fmt.Sprint(i%10, " root"), Time: time.Unix(rng.Int64N(1<<32), rng.Int64N(1e9)).UTC(), Metadata: map[string]string{},
			Data: []byte(anyText(rng)),
		}
		for range rng.IntN(4) {
			name := make([]byte, 1+rng.IntN(30))
			for j := range name {
				name[j] = "abcdefghijklmnopqrstuvwxyz0123456789"[rng.IntN(36)]
			}
			r.Metadata[string(name)] = anyText(rng)
		}
		records[i], want[i] = r, wholly(r)
	}
	publish(t, s, records...)
	same := func(how string, rs []*event.Record) {
		t.Helper()
		if len(rs) != n {
			t.Fatalf("%s: %d records, want %d", how, len(rs), n)
		}
		for i, r := range rs {
			if wholly(r) != want[i] {
				t.Fatalf("%s: record %d\n is %.500s,\nwas %.500s", how, i, wholly(r), want[i])
			}
		}
	}
	eventually(t, "the group has them all", func() bool { return g.len() >= n })
	same("handed out", g.list())
	same("queried", all(t, s, event.Types("**", "dead.**")))
	for i := 0; i < n; i += 9 {
		if rs := all(t, s, event.ID(records[i].ID)); len(rs) != 1 || wholly(rs[0]) != want[i] {
			t.Errorf("by the id %.100q: %d records, want that one", records[i].ID, len(rs))
		}
	}
}

// wholly is everything in a record that its publisher chose.
func wholly(r *event.Record) string {
	return fmt.Sprintf("%q %q %q %q %q %v %q %q", r.ID, r.Type, r.Source, r.Subject, r.RootID, r.Time.UnixNano(), r.Metadata, r.Data)
}

// anyText is a string as CloudEvents has it: mostly short, and mostly of characters
// that mean something somewhere.
func anyText(rng *rand.Rand) string {
	n := 1 + rng.IntN(20)
	if rng.IntN(20) == 0 {
		n = 1 + rng.IntN(500)
	}
	var b strings.Builder
	for b.Len() < n {
		var c rune
		switch rng.IntN(4) {
		case 0:
			c = []rune(`.*>%_'"\ /:;,?&=+#{}[]()$^~|<@!-` + "`")[rng.IntN(33)]
		case 1:
			c = ' ' + rune(rng.IntN(0x7f-' '))
		case 2:
			c = 0xa0 + rune(rng.IntN(0xd800-0xa0))
		default:
			c = 0xe000 + rune(rng.IntN(0x110000-0xe000))
		}
		if c&0xfffe == 0xfffe || c >= 0xfdd0 && c <= 0xfdef {
			continue // noncharacters
		}
		b.WriteRune(c)
	}
	return b.String()
}
