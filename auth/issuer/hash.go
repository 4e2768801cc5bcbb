package issuer

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// generatedPrefix begins secrets of NewSecret, for people and for scanners of
// source code.
const generatedPrefix = "gpi_"

// NewSecret returns a secret for a client: 130 random bits and a checksum, with
// the prefix "gpi_". Nobody can guess one, so Create and SetSecret store a plain
// SHA-256 of it (NIST SP 800-63B section 5.1.2.2: what has 112 bits needs no
// slow hash). It is checked in a microsecond, no flood of requests delays it,
// and wrong guesses never make its account wait. Secrets that people choose are
// hashed slowly.
func NewSecret() string {
	random := rand.Text()
	return generatedPrefix + random + checksum(random)
}

func checksum(random string) string {
	return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(random)))
}

// generated reports whether NewSecret made the secret.
func generated(secret string) bool {
	rest, ok := strings.CutPrefix(secret, generatedPrefix)
	return ok && len(rest) == 26+8 && checksum(rest[:26]) == rest[26:]
}

// The forms of hashes in the store. The whole secret counts, however long.
const (
	fastHash = "sha256$"        // and the hash in hexadecimal
	slowHash = "pbkdf2-sha256$" // and rounds$salt$key
)

func newSlowHash(secret string, rounds int) string {
	salt := make([]byte, 16)
	rand.Read(salt)
	return encodeHash(rounds, salt, derive(secret, salt, rounds))
}

func encodeHash(rounds int, salt, key []byte) string {
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("%s%d$%s$%s", slowHash, rounds, enc(salt), enc(key))
}

// newDecoy returns a hash that no secret has.
func newDecoy(rounds int) string {
	salt, key := make([]byte, 16), make([]byte, keySize)
	rand.Read(salt)
	rand.Read(key)
	return encodeHash(rounds, salt, key)
}

func derive(secret string, salt []byte, rounds int) []byte {
	key, _ := pbkdf2.Key(sha256.New, secret, salt, rounds, keySize) // nil only for parameters that New refuses
	return key
}

const keySize = 32

// equalFast compares a secret with a fast hash.
func equalFast(hash, secret string) bool {
	return subtle.ConstantTimeCompare([]byte(hash), []byte(fastHash+digest(secret))) == 1
}

// equalSlow compares a secret with a slow hash.
func equalSlow(hash, secret string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 4 || parts[0]+"$" != slowHash {
		return false
	}
	rounds, err := strconv.Atoi(parts[1])
	salt, err2 := base64.RawStdEncoding.DecodeString(parts[2])
	want, err3 := base64.RawStdEncoding.DecodeString(parts[3])
	whole := errors.Join(err, err2, err3) == nil && rounds > 0 && len(want) == keySize
	return whole && subtle.ConstantTimeCompare(derive(secret, salt, rounds), want) == 1
}
