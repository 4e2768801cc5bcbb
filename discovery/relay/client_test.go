package relay

import (
	"encoding/json"
	"testing"
)

func FuzzUpdate(f *testing.F) {
	f.Add([]byte(`{"instances":[{"id":"a"},{"id":"b"}],"preserved":1,"age_ms":5,"stale":"x"}`))
	f.Add([]byte(`{"preserved":7}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var l line
		if json.Unmarshal(text, &l) != nil || !l.valid() {
			return
		}
		u := update(l, true)
		if len(u.Instances)+l.Preserved != len(l.Instances) || (u.Stale != nil) != (l.Stale != "") || u.Age < 0 {
			t.Errorf("%s became %+v", text, u)
		}
	})
}
