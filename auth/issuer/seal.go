package issuer

import (
	"crypto/rand"
	"fmt"
)

// shut encrypts what the store gets to see of the signing keys.
func (i *Issuer) shut(b []byte) []byte {
	if i.seal == nil {
		return b
	}
	nonce := make([]byte, i.seal.NonceSize())
	rand.Read(nonce)
	return i.seal.Seal(nonce, nonce, b, []byte(ringKey))
}

func (i *Issuer) open(b []byte) ([]byte, error) {
	if i.seal == nil {
		return b, nil
	}
	n := i.seal.NonceSize()
	if len(b) < n {
		return nil, fmt.Errorf("sealed keys of %d bytes in the store", len(b))
	}
	out, err := i.seal.Open(nil, b[:n], b[n:], []byte(ringKey))
	if err != nil {
		return nil, fmt.Errorf("the seal key does not open the keys in the store: %w", err)
	}
	return out, nil
}
