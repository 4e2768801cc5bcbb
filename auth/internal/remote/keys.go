package remote

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/micro/go-platform/internal/jose"
	"github.com/micro/go-platform/internal/life"
)

// Keys is the key set at a URL (RFC 7517), as a jose.KeySource. A key id that
// it lacks makes it look again, at most twice at once and then every 30
// seconds, whatever a flood of tokens asks for. A known id with a bad
// signature never does.
type Keys struct{ doc *Document[jose.Keys] }

// NewKeys returns the key set at url.
func NewKeys(l *life.Life, client *http.Client, timeout time.Duration, url string) *Keys {
	return &Keys{New(l, client, timeout, parseKeys, url)}
}

func parseKeys(b []byte) (jose.Keys, error) {
	keys, skipped, err := jose.ParseSet(b)
	if err == nil && len(keys) == 0 {
		err = fmt.Errorf("no usable key in the set (%d skipped)", len(skipped))
	}
	return keys, err
}

// Keys implements jose.KeySource.
func (k *Keys) Keys(ctx context.Context, id string) ([]*jose.Key, error) {
	set, err := k.doc.Get(ctx)
	if err != nil {
		return nil, err
	}
	found, err := set.Keys(ctx, id)
	if err == nil {
		return found, nil
	}
	set, err = k.doc.Renew(ctx)
	if err != nil {
		return nil, err
	}
	return set.Keys(ctx, id)
}
