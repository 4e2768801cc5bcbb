package gocloud

import (
	"errors"
	"testing"

	"github.com/micro/go-platform/db"
)

// What docstore's adapter adds, each with the reason. The test fails when one of
// them is no longer needed.
func TestDifferences(t *testing.T) {
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	docs, err := d.Table(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := docs.Create(t.Context(), &db.Record{ID: string(rune('a' + i)), Metadata: map[string]any{"n": i}}); err != nil {
			t.Fatal(err)
		}
	}
	count := func(opts ...db.SearchOption) int64 {
		t.Helper()
		n, err := docs.Count(t.Context(), opts...)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct {
		name, reason string
		differs      bool
	}{
		{
			"Delete of what is not there is nil", "ErrNotFound lets a caller see that another was faster",
			errors.Is(docs.Delete(t.Context(), "z"), db.ErrNotFound),
		},
		{
			"not-in leaves out documents without the field", "Not matches everything that its filter does not",
			count(db.Where(db.Not(db.In("m", 1))), db.AllowScan()) == 3,
		},
	} {
		if !c.differs {
			t.Errorf("no longer so: %s, because %s", c.name, c.reason)
		}
	}
}
