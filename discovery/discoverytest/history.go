package discoverytest

import (
	"strings"
	"time"

	"github.com/micro/go-platform/discovery"
)

// listed is changes as "+a ~a -a(deregistered)".
func listed(all []discovery.Change) string {
	var parts []string
	for _, c := range all {
		switch {
		case c.Before == nil:
			parts = append(parts, "+"+c.After.ID)
		case c.After == nil:
			parts = append(parts, "-"+c.Before.ID+"("+c.Fate.String()+")")
		default:
			parts = append(parts, "~"+c.After.ID)
		}
	}
	return strings.Join(parts, " ")
}

func changes(t *c) (late string) {
	writer, reader := t.open(), t.open()
	t.register(writer, instance("s", "a"), discovery.TTL(long))
	t.see(reader, "s", "a")
	if all := reader.Changes("s", time.Time{}); len(all) > 0 {
		t.Errorf("the first sync is a change: %s", listed(all))
	}
	began := time.Now()
	r := t.register(writer, instance("s", "b"), discovery.TTL(long))
	t.see(reader, "s", "a b")
	err := r.Update(t.Context(), func(in *discovery.Instance) { in.Version = "2" })
	if err != nil {
		t.Fatal(err)
	}
	t.await(reader, "s", "the update", patience, func(s discovery.Snapshot) bool {
		return len(s.Instances) == 2 && s.Instances[1].Version == "2"
	})
	err = r.Deregister(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.see(reader, "s", "a")
	<-time.After(time.Millisecond) // also by the clock of a bubble
	left := time.Now()
	t.register(writer, instance("s", "c"), discovery.NoHeartbeat())
	if _, seen := t.saw(reader, "s", t.ttl, live("a c")); !seen {
		return "nobody saw the one that expires"
	}
	want := "+b ~b -b(deregistered) +c"
	all := reader.Changes("s", began)
	if time.Since(left) >= t.ttl {
		return "it was asked too late what happened"
	}
	if got := listed(all); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if before, after := all[1].Before.Version, all[1].After.Version; before != "" || after != "2" {
		t.Errorf("updated from %q to %q", before, after)
	}
	for i, c := range all[1:] {
		if c.Revision <= all[i].Revision || c.At.Before(all[i].At) {
			t.Errorf("change %d at %v, revision %d, after %v, %d", i+1, c.At, c.Revision, all[i].At, all[i].Revision)
		}
	}
	t.await(reader, "s", "a", t.ttl+patience, live("a"))
	if strings.Contains(listed(reader.Changes("s", began)), "(lost)") {
		return "the reader lost sight of the registry"
	}
	if got, want := listed(reader.Changes("s", time.Time{})), "+b ~b -b(deregistered) +c -c(expired)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := listed(reader.Changes("s", left)), "+c -c(expired)"; got != want {
		t.Errorf("since b left: got %s, want %s", got, want)
	}
	if got := listed(reader.Changes("s", time.Now().Add(time.Hour))) + listed(reader.Changes("other", time.Time{})); got != "" {
		t.Errorf("of the future, and of another service: %s", got)
	}
	beats := r.Heartbeats()
	if len(beats) < 2 || beats[0].Err != nil || beats[0].At.Before(began) || beats[0].Took <= 0 && !t.h.Bubble {
		t.Errorf("heartbeats %+v", beats)
	}
	return ""
}
