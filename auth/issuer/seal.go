package issuer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
)

func (i *Issuer) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(i.seal)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// shut encrypts what the store gets to see of the signing keys.
func (i *Issuer) shut(b []byte) ([]byte, error) {
	if i.seal == nil {
		return b, nil
	}
	a, err := i.aead()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, a.NonceSize())
	rand.Read(nonce)
	return a.Seal(nonce, nonce, b, []byte(ringKey)), nil
}

func (i *Issuer) open(b []byte) ([]byte, error) {
	if i.seal == nil {
		return b, nil
	}
	a, err := i.aead()
	if err != nil {
		return nil, err
	}
	if len(b) < a.NonceSize() {
		return nil, fmt.Errorf("sealed keys of %d bytes in the store", len(b))
	}
	out, err := a.Open(nil, b[:a.NonceSize()], b[a.NonceSize():], []byte(ringKey))
	if err != nil {
		return nil, fmt.Errorf("the seal key does not open the keys in the store: %w", err)
	}
	return out, nil
}
