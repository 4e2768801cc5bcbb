package web

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/micro/go-platform/config/store"
)

// How long a request asks to wait: a number that is none, or too large, is no
// wish.
func TestTheWaitOfARequest(t *testing.T) {
	for _, c := range []struct {
		prefer []string
		want   time.Duration
	}{
		{nil, 0},
		{[]string{"wait=5"}, 5 * time.Second},
		{[]string{`WAIT = "5"`}, 5 * time.Second},
		{[]string{"respond-async, wait=5"}, 5 * time.Second},
		{[]string{"respond-async", "return=minimal; wait=5"}, 5 * time.Second},
		{[]string{"waiting=5"}, 0},
		{[]string{"wait"}, 0},
		{[]string{"wait=soon"}, 0},
		{[]string{"wait=-1"}, 0},
		{[]string{"wait=59"}, 59 * time.Second},
		{[]string{"wait=60"}, longest},
		{[]string{"wait=61"}, longest},
		{[]string{fmt.Sprint("wait=", 1<<31-1)}, longest},
		{[]string{fmt.Sprint("wait=", 1<<31)}, 0},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Prefer"] = c.prefer
		if got := waitOf(r); got != c.want {
			t.Errorf("%q: %v, want %v", c.prefer, got, c.want)
		}
	}
}

// failing is a store whose histories break off.
type failing struct {
	store.Store
	err error
}

func (f failing) History(context.Context, store.Query) iter.Seq2[store.Version, error] {
	return func(yield func(store.Version, error) bool) {
		if yield(store.Version{Number: 2}, nil) {
			yield(store.Version{}, f.err)
		}
	}
}

func TestAHistoryThatBreaksOffIsNone(t *testing.T) {
	st, err := store.New()
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for kind, code := range map[error]int{store.ErrUnavailable: 503, store.ErrInvalid: 400, errors.New("what"): 503} {
		h, err := New(failing{st, kind}, func(*http.Request, string, bool) (string, error) { return "", nil })
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.history(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), "app")
		if w.Code != code || w.Header().Get("Content-Type") == "application/json" {
			t.Errorf("%v: %d %s, want %d", kind, w.Code, w.Body, code)
		}
		h.Close()
	}
}
