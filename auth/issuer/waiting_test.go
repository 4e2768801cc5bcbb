package issuer

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
)

// Who waits for too long to have a secret checked may come again, and whose
// caller gives up waits no longer.
func TestWhoWaitsForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, err := New(WithHashRounds(1000))
		if err != nil {
			t.Fatal(err)
		}
		if err := i.Create(t.Context(), Account{ID: "orders", Type: Service, Audiences: []string{"orders"}}, "orders-secret"); err != nil {
			t.Fatal(err)
		}
		ask := func() int {
			f := url.Values{"grant_type": {"client_credentials"}, "client_id": {"orders"}, "client_secret": {"orders-secret"}}
			r := httptest.NewRequest("POST", "/token", strings.NewReader(f.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			i.ServeHTTP(w, r)
			if w.Code == 503 && (w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "temporarily_unavailable")) {
				t.Errorf("%v %s", w.Header(), w.Body)
			}
			return w.Code
		}
		taken := 0
		for ; i.secrets.places.free > 0; taken++ {
			if err := i.secrets.places.enter(t.Context(), "others"); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		if status, waited := ask(), time.Since(start); status != 503 || waited != waitLongest {
			t.Errorf("no place: %d after %v, want 503 after %v", status, waited, waitLongest)
		}
		for range taken {
			i.secrets.places.leave()
		}
		if status := ask(); status != 200 {
			t.Errorf("with a place: %d, want 200", status)
		}

		i.ring.view.Store(nil)
		i.ring.loading <- struct{}{} // somebody reads the keys, and hangs
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if set, err := i.KeySet(ctx); !errors.Is(err, context.DeadlineExceeded) || set != nil {
			t.Errorf("keys that are read for too long: %s, %v", set, err)
		}
		<-i.ring.loading
		if _, err := i.KeySet(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// An assertion that can't be remembered is good for nothing: it could come again.
func TestAnAssertionThatCannotBeRemembered(t *testing.T) {
	i, err := New(WithStore(forgetful{Memory()}))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/token", nil)
	claims := map[string]any{"aud": i.url, "jti": "1", "exp": float64(time.Now().Add(time.Minute).Unix())}
	if err := i.onceAsserted(r, "robot", claims); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

// forgetful is a store that can't keep anything.
type forgetful struct{ Store }

func (forgetful) Put(context.Context, string, []byte, uint64, time.Duration) error {
	return errors.New("full")
}
