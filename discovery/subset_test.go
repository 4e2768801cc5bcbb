package discovery

import (
	"fmt"
	"testing"
)

func snapshotOf(n int) Snapshot {
	s := Snapshot{Service: "s", Revision: 7}
	for i := range n {
		s.Instances = append(s.Instances, Instance{ID: fmt.Sprintf("i-%04d", i)})
	}
	return s
}

func TestSubsetsSpreadEvenly(t *testing.T) {
	const instances, clients, size = 500, 2000, 20
	s := snapshotOf(instances)
	users := map[string]int{}
	for c := range clients {
		sub := s.Subset(fmt.Sprintf("client-%d", c), size)
		if len(sub.Instances) != size || sub.Revision != 7 {
			t.Fatalf("%d instances", len(sub.Instances))
		}
		for i, in := range sub.Instances {
			if users[in.ID]++; i > 0 && in.ID <= sub.Instances[i-1].ID {
				t.Fatal("not sorted, or twice")
			}
		}
	}
	// 80 clients each on average, with a standard deviation of 9.
	for id, n := range users {
		if n < 35 || n > 125 {
			t.Errorf("%s has %d clients, want about 80", id, n)
		}
	}
	if len(users) != instances {
		t.Errorf("%d of %d instances are used", len(users), instances)
	}
}

func TestSubsetChangesLittle(t *testing.T) {
	s := snapshotOf(100)
	less := s
	less.Instances = append(append([]Instance(nil), s.Instances[:50]...), s.Instances[51:]...)
	for c := range 100 {
		client := fmt.Sprint(c)
		was, is := map[string]bool{}, s.Subset(client, 10)
		for _, in := range less.Subset(client, 10).Instances {
			was[in.ID] = true
		}
		changed := 0
		for _, in := range is.Instances {
			if !was[in.ID] {
				changed++
			}
		}
		if changed > 1 {
			t.Errorf("client %s: %d of 10 changed with one instance", client, changed)
		}
	}
}

func TestSubsetOfFewAndOfPreserved(t *testing.T) {
	s := snapshotOf(10)
	s.Preserved = 4
	if got := s.Subset("c", 20); len(got.Instances) != 10 || got.Preserved != 4 {
		t.Errorf("a large subset: %d, %d preserved", len(got.Instances), got.Preserved)
	}
	if got := s.Subset("c", -1); len(got.Instances) != 0 || got.Preserved != 0 {
		t.Errorf("a negative one: %d, %d preserved", len(got.Instances), got.Preserved)
	}
	got := s.Subset("c", 6)
	want := 0
	for i, in := range got.Instances {
		if in.ID >= "i-0006" {
			want++
			if i < len(got.Instances)-got.Preserved {
				t.Errorf("%s is preserved and not at the end", in.ID)
			}
		}
	}
	if got.Preserved != want {
		t.Errorf("%d preserved, want %d", got.Preserved, want)
	}
	if s.Preserved != 4 || len(s.Instances) != 10 {
		t.Error("the snapshot itself changed")
	}
}
