package discovery

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// set reads "a b! c:2": b drains, the TTL of c is 2 s.
func set(text string) (all []Instance, ttls map[string]time.Duration) {
	ttls = map[string]time.Duration{}
	for _, id := range strings.Fields(text) {
		id, ttl, _ := strings.Cut(id, ":")
		in := Instance{ID: strings.TrimSuffix(id, "!")}
		if strings.HasSuffix(id, "!") {
			in.Status = Draining
		}
		if n, err := strconv.Atoi(ttl); err == nil {
			ttls[in.ID] = time.Duration(n) * time.Second
		}
		all = append(all, in)
	}
	return all, ttls
}

// said is what readers see as "live|kept", with "?" behind the number of lost.
func said(s seen) string {
	var ids []string
	for i, in := range s.instances {
		id := in.ID
		if in.Status == Draining {
			id += "!"
		}
		if i == len(s.instances)-s.preserved {
			id = "|" + id
		}
		ids = append(ids, id)
	}
	text := strings.Replace(strings.Join(ids, " "), " |", "|", 1)
	if s.preserved == 0 {
		text += "|"
	}
	if s.unconfirmed > 0 {
		text += " " + strconv.Itoa(s.unconfirmed) + "?"
	}
	return text
}

// keeperStep is an update, or with live "-" only a look. Before it, ">" is an
// outage that ended the session, "^" one that didn't, and "=" a new session
// without one.
type keeperStep struct {
	at   int // seconds
	live string
	fate string // of the missing: "a-" deregistered, "a?" lost, "a." expired; else unknown
	want string
}

func runKeeper(t *testing.T, k keeper, steps []keeperStep) {
	t.Helper()
	start := time.Now()
	seen := start
	for i, s := range steps {
		now := start.Add(time.Duration(s.at) * time.Second)
		live := strings.TrimLeft(s.live, ">^=")
		how := strings.TrimSuffix(s.live, live)
		if how == ">" || how == "^" {
			k.outage(seen, now)
		}
		if live != "-" {
			all, ttls := set(live)
			fates := map[string]Fate{}
			for _, f := range strings.Fields(s.fate) {
				id, kind := f[:len(f)-1], f[len(f)-1:]
				fates[id] = map[string]Fate{"-": Deregistered, "?": Lost, ".": Expired}[kind]
			}
			k.apply(now, Update{
				Instances: all,
				TTL:       func(id string) time.Duration { return ttls[id] },
				Fate:      func(id string) Fate { return fates[id] },
			}, how == ">" || how == "=" || i == 0)
			seen = now
		}
		v := k.view(now)
		if got := said(v); got != s.want {
			t.Fatalf("at %d s: got %q, want %q", s.at, got, s.want)
		}
		if v.preserved+v.unconfirmed > 0 && v.next <= 0 {
			t.Fatalf("at %d s: %q, look again in %v", s.at, s.want, v.next)
		}
	}
}

func TestKeeper(t *testing.T) {
	for name, steps := range map[string][]keeperStep{
		"one that expires is believed":                   {{0, "a b c d", "", "a b c d|"}, {1, "a b c", "", "a b c|"}},
		"the only one that expires is believed":          {{0, "a", "", "a|"}, {1, "", "", "|"}},
		"two at once are believed, whatever their share": {{0, "a b c", "", "a b c|"}, {1, "a", "", "a|"}},
		"two of two at once are believed":                {{0, "a b", "", "a b|"}, {1, "", "", "|"}},
		"three at once are kept":                         {{0, "a b c d e", "", "a b c d e|"}, {1, "a c", "", "a c|b d e"}},
		"all at once are kept":                           {{0, "a b c", "", "a b c|"}, {1, "", "", "|a b c"}},
		"one after another within the window count":      {{0, "a b c d", "", "a b c d|"}, {1, "a b c", "", "a b c|"}, {5, "a b", "", "a b|"}, {9, "a", "", "a|b c d"}},
		"one after another over more than it don't":      {{0, "a b c d", "", "a b c d|"}, {1, "a b c", "", "a b c|"}, {5, "a b", "", "a b|"}, {12, "a", "", "a|"}},
		"those that deregister never count":              {{0, "a b c d", "", "a b c d|"}, {1, "a", "b- c- d-", "a|"}},
		"and two expiries among them are two":            {{0, "a b c d", "", "a b c d|"}, {1, "a", "b-", "a|"}},
		"those that drained don't count":                 {{0, "a b! c! d! e", "", "a b! c! d! e|"}, {1, "a e", "", "a e|"}},
		"the time of those kept is bounded":              {{0, "a b c d", "", "a b c d|"}, {1, "a", "", "a|b c d"}, {20, "-", "", "a|b c d"}, {21, "-", "", "a|"}},
		"those that come back are live":                  {{0, "a b c d", "", "a b c d|"}, {1, "", "", "|a b c d"}, {2, "a", "", "a|b c d"}, {3, "a b c d", "", "a b c d|"}},
		"the last of them are plain expiries":            {{0, "a b c d", "", "a b c d|"}, {1, "a", "", "a|b c d"}, {2, "a b", "", "a b|"}},
		"kept ones may deregister":                       {{0, "a b c d", "", "a b c d|"}, {1, "a", "", "a|b c d"}, {2, "a", "b- c- d-", "a|"}},
		"a small share is believed":                      {{0, "a b c d e f g h i j k l m n o p q r s t", "", "a b c d e f g h i j k l m n o p q r s t|"}, {1, "a b c d e f g h i j k l m n o p q", "", "a b c d e f g h i j k l m n o p q|"}},
		"a share above it is not":                        {{0, "a b c d e f g h i j k l m n o p q r s", "", "a b c d e f g h i j k l m n o p q r s|"}, {1, "a b c d e f g h i j k l m n o p", "", "a b c d e f g h i j k l m n o p|q r s"}},

		"those that were replaced before are believed":   {{0, "a b c d", "", "a b c d|"}, {2, "a b c d x y z", "", "a b c d x y z|"}, {10, "a x y z", "", "a x y z|"}},
		"those that are replaced later go then":          {{0, "a b c d", "", "a b c d|"}, {10, "a", "", "a|b c d"}, {11, "a x", "", "a x|"}},
		"what came long before takes no place":           {{0, "a b c d", "", "a b c d|"}, {1, "a b c d x y z", "", "a b c d x y z|"}, {30, "a x y z", "", "a x y z|b c d"}},
		"the first set has not come instead of anything": {{0, "a b c d", "", "a b c d|"}, {5, "d", "", "d|a b c"}},
		"also when nobody was there before it":           {{0, "", "", "|"}, {1, "a b c d e", "", "a b c d e|"}, {9, "d e", "", "d e|a b c"}},
		"all that came one by one have not either":       {{0, "", "", "|"}, {1, "a", "", "a|"}, {2, "a b", "", "a b|"}, {3, "a b c", "", "a b c|"}, {12, "", "", "|a b c"}},
		"what came just after the first has":             {{0, "", "", "|"}, {1, "a b c", "", "a b c|"}, {2, "a b c d", "", "a b c d|"}, {11, "d", "", "d|"}},
		"but not if it is missing, too":                  {{0, "a b c", "", "a b c|"}, {2, "a b c d", "", "a b c d|"}, {11, "c", "", "c|a b d"}},
		"one that came back has not either":              {{0, "a b c d", "", "a b c d|"}, {1, "", "", "|a b c d"}, {2, "a b c d", "", "a b c d|"}, {3, "", "", "|a b c d"}},

		"a new session that lacks the only one keeps it": {{0, "a", "", "a|"}, {5, ">", "", "a| 1?"}, {14, "-", "", "a| 1?"}, {15, "-", "", "|"}},
		"by its own TTL":                                     {{0, "a:2", "", "a|"}, {5, ">", "", "a| 1?"}, {6, "-", "", "a| 1?"}, {7, "-", "", "|"}},
		"until it registers again":                           {{0, "a b", "", "a b|"}, {5, ">", "", "a b| 2?"}, {6, "b", "", "a b| 1?"}, {7, "a b", "", "a b|"}},
		"those that are lost stand in order":                 {{0, "a b c", "", "a b c|"}, {5, ">b", "", "a b c| 2?"}},
		"one that deregistered meanwhile is gone":            {{0, "a b", "", "a b|"}, {5, ">", "b-", "a| 1?"}},
		"one that deregisters later goes then":               {{0, "a b", "", "a b|"}, {5, ">", "", "a b| 2?"}, {6, "", "a-", "b| 1?"}},
		"one that expired in a short gap is gone":            {{0, "a b", "", "a b|"}, {4, ">", "a.", "b| 1?"}},
		"one that expired in a long gap is lost":             {{0, "a b", "", "a b|"}, {5, ">", "a.", "a b| 2?"}, {6, "b", "a.", "a b| 1?"}, {14, "-", "", "a b| 1?"}, {15, "-", "", "b|"}},
		"also if it drained":                                 {{0, "a!", "", "a!|"}, {5, ">", "a.", "a!| 1?"}},
		"until it registers again after the gap":             {{0, "a b", "", "a b|"}, {5, ">", "a. b.", "a b| 2?"}, {6, "a", "b.", "a b| 1?"}, {7, "a b", "", "a b|"}, {15, "a", "b.", "a|"}},
		"what expires soon after a long gap is lost":         {{0, "a b", "", "a b|"}, {5, ">a b", "", "a b|"}, {14, "a", "b.", "a b| 1?"}, {15, "-", "", "a|"}},
		"also if the registry comes and goes":                {{0, "a b", "", "a b|"}, {5, ">a b", "", "a b|"}, {6, ">a b", "", "a b|"}, {7, "b", "a.", "a b| 1?"}, {16, "-", "", "b|"}},
		"what expires a TTL after it is not":                 {{0, "a b", "", "a b|"}, {5, ">a b", "", "a b|"}, {15, "a", "b.", "a|"}},
		"a gap is one of sessions":                           {{0, "a b", "", "a b|"}, {9, "b", "a.", "b|"}},
		"a second loss gives them their time again":          {{0, "a", "", "a|"}, {5, ">", "", "a| 1?"}, {14, ">", "", "a| 1?"}, {23, "-", "", "a| 1?"}, {24, "-", "", "|"}},
		"a session without an outage gives them none":        {{0, "a", "", "a|"}, {5, ">", "", "a| 1?"}, {10, "=", "", "a| 1?"}, {14, "=", "", "a| 1?"}, {15, "-", "", "|"}},
		"a silence within a session is a gap":                {{0, "a", "", "a|"}, {7, "^", "a.", "a| 1?"}, {16, "-", "", "a| 1?"}, {17, "-", "", "|"}},
		"a short one is not":                                 {{0, "a", "", "a|"}, {4, "^", "a.", "|"}},
		"and one by the TTL of the longest is one for all":   {{0, "a:60 b:10", "", "a b|"}, {30, "^a:60", "b.", "a b| 1?"}, {39, "-", "", "a b| 1?"}, {40, "-", "", "a|"}},
		"a registry that says so loses within a session":     {{0, "a b c", "", "a b c|"}, {5, "", "a? b? c?", "a b c| 3?"}, {15, "-", "", "|"}},
		"the lost are not among the many":                    {{0, "a b c d", "", "a b c d|"}, {5, "d", "a? b? c.", "a b d| 2?"}},
		"a draining one that is lost stays too":              {{0, "a! b", "", "a! b|"}, {5, ">", "", "a! b| 2?"}},
		"one that is back and then expires is one of others": {{0, "a b", "", "a b|"}, {5, ">", "", "a b| 2?"}, {6, "a b", "", "a b|"}, {15, "b", "", "b|"}},
	} {
		t.Run(name, func(t *testing.T) {
			runKeeper(t, keeper{share: 0.15, ttl: 10 * time.Second, limit: 20 * time.Second}, steps)
		})
	}
}

func TestKeeperWithoutLimitKeepsForTwoOfEachTTL(t *testing.T) {
	runKeeper(t, keeper{share: 0.15, ttl: 10 * time.Second}, []keeperStep{
		{0, "a:2 b:3 c d:2", "", "a b c d|"}, {3, "", "", "|a b c d"}, {6, "-", "", "|a b c d"}, {7, "-", "", "|"},
	})
}

func TestKeeperLooksAgainWhenTheFirstEnds(t *testing.T) {
	k := keeper{share: 0.15, ttl: 10 * time.Second, limit: 20 * time.Second}
	now := time.Now()
	apply := func(at int, live string) {
		all, _ := set(live)
		k.apply(now.Add(time.Duration(at)*time.Second), Update{Instances: all}, at == 0)
	}
	apply(0, "a b c d")
	apply(1, "a b c")
	if v := k.view(now.Add(2 * time.Second)); v.next != 9*time.Second {
		t.Errorf("one expired: look again in %v, want 9s, when it no longer counts", v.next)
	}
	apply(4, "a")
	v := k.view(now.Add(5 * time.Second))
	if v.preserved != 3 || v.next != 16*time.Second {
		t.Errorf("%d kept, look again in %v, want 3 and 16s, the limit of the first", v.preserved, v.next)
	}
}

func TestKeeperOff(t *testing.T) {
	runKeeper(t, keeper{share: 1, ttl: time.Second, limit: time.Second}, []keeperStep{
		{0, "a b c", "", "a b c|"}, {1, "", "", "|"},
	})
}

func TestKeeperForgetsArrivals(t *testing.T) {
	k := keeper{share: 0.15, ttl: time.Second}
	now := time.Now()
	for i := range 10_000 {
		k.apply(now.Add(time.Duration(i)*time.Second), Update{Instances: []Instance{{ID: strconv.Itoa(i)}}}, i == 0)
		k.view(now.Add(time.Duration(i) * time.Second))
	}
	if len(k.came) > 10 || len(k.missing) > 10 {
		t.Errorf("%d arrivals and %d missing are remembered", len(k.came), len(k.missing))
	}
}
