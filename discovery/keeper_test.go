package discovery

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func set(ids string) []Instance {
	var all []Instance
	for _, id := range strings.Fields(ids) {
		in := Instance{ID: strings.TrimSuffix(id, "!")}
		if strings.HasSuffix(id, "!") {
			in.Status = Draining
		}
		all = append(all, in)
	}
	return all
}

func TestKeeper(t *testing.T) {
	type step struct {
		at   int    // seconds
		live string // what the registry says; "-" for no update
		left string // which of the missing have deregistered
		want string // live|kept
	}
	for name, steps := range map[string][]step{
		"one that expires is believed":              {{0, "a b c d", "", "a b c d|"}, {1, "a b c", "", "a b c|"}},
		"the only one that expires is believed":     {{0, "a", "", "a|"}, {1, "", "", "|"}},
		"half at once are kept":                     {{0, "a b c d", "", "a b c d|"}, {1, "a c", "", "a c|b d"}},
		"all at once are kept":                      {{0, "a b c", "", "a b c|"}, {1, "", "", "|a b c"}},
		"one after another within the window count": {{0, "a b c d", "", "a b c d|"}, {1, "a b c", "", "a b c|"}, {9, "a b", "", "a b|c d"}},
		"one after another over more than it don't": {{0, "a b c d", "", "a b c d|"}, {1, "a b c", "", "a b c|"}, {12, "a b", "", "a b|"}},
		"those that deregister never count":         {{0, "a b c d", "", "a b c d|"}, {1, "a", "b c d", "a|"}},
		"and one expiry among them is one":          {{0, "a b c d", "", "a b c d|"}, {1, "a", "b c", "a|"}},
		"those that drained don't count":            {{0, "a b! c! d", "", "a b! c! d|"}, {1, "a d", "", "a d|"}},
		"the time of those kept is bounded":         {{0, "a b c d", "", "a b c d|"}, {1, "a b", "", "a b|c d"}, {20, "-", "", "a b|c d"}, {21, "-", "", "a b|"}},
		"those that come back are live":             {{0, "a b c d", "", "a b c d|"}, {1, "", "", "|a b c d"}, {2, "a b", "", "a b|c d"}, {3, "a b c d", "", "a b c d|"}},
		"the last of them is a plain expiry":        {{0, "a b c", "", "a b c|"}, {1, "a", "", "a|b c"}, {2, "a b", "", "a b|"}},
		"kept ones may deregister":                  {{0, "a b c d", "", "a b c d|"}, {1, "a", "", "a|b c d"}, {2, "a", "b c d", "a|"}},
		"a small share is believed":                 {{0, "a b c d e f g h i j k l m n", "", "a b c d e f g h i j k l m n|"}, {1, "a b c d e f g h i j k l", "", "a b c d e f g h i j k l|"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := keeper{share: 0.15, window: 10 * time.Second, limit: 20 * time.Second}
			start := time.Now()
			for _, s := range steps {
				now := start.Add(time.Duration(s.at) * time.Second)
				if s.live != "-" {
					k.apply(now, set(s.live), func(id string) bool { return strings.Contains(s.left, id) })
				}
				all, n, next := k.view(now)
				var ids []string
				for i, in := range all {
					id := in.ID
					if in.Status == Draining {
						id += "!"
					}
					if i == len(all)-n {
						id = "|" + id
					}
					ids = append(ids, id)
				}
				got := strings.Replace(strings.Join(ids, " "), " |", "|", 1)
				if n == 0 {
					got += "|"
				}
				if got != s.want {
					t.Fatalf("at %d s: got %q, want %q", s.at, got, s.want)
				}
				if (n > 0) != (next > 0) && n > 0 {
					t.Fatalf("at %d s: %d kept, look again in %v", s.at, n, next)
				}
			}
		})
	}
}

func TestKeeperLooksAgainWhenTheFirstEnds(t *testing.T) {
	k := keeper{share: 0.15, window: 10 * time.Second, limit: 20 * time.Second}
	now := time.Now()
	k.apply(now, set("a b c d"), nil)
	k.apply(now.Add(time.Second), set("a b c"), nil)
	_, _, next := k.view(now.Add(2 * time.Second))
	if next != 9*time.Second {
		t.Errorf("one expired: look again in %v, want 9s, when it no longer counts", next)
	}
	k.apply(now.Add(4*time.Second), set("a"), nil)
	_, n, next := k.view(now.Add(5 * time.Second))
	if n != 3 || next != 16*time.Second {
		t.Errorf("%d kept, look again in %v, want 3 and 16s, the limit of the first", n, next)
	}
}

func TestKeeperOff(t *testing.T) {
	k := keeper{share: 1, window: time.Second, limit: time.Second}
	k.apply(time.Now(), set("a b c"), nil)
	k.apply(time.Now(), nil, nil)
	if all, n, _ := k.view(time.Now()); len(all) != 0 || n != 0 {
		t.Errorf("share 1 keeps %s", fmt.Sprint(all))
	}
}
