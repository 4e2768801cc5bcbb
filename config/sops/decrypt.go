package sops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsconfig "github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	"github.com/getsops/sops/v3/stores/json"
	"github.com/getsops/sops/v3/stores/yaml"
	"github.com/micro/go-platform/config"
	yamlnode "go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
)

// store returns what reads a file, by its name as sops does.
func store(name string) (s sops.EncryptedFileLoader, binary bool) {
	switch filepath.Ext(name) {
	case ".yaml", ".yml":
		return yaml.NewStore(&sopsconfig.YAMLStoreConfig{}), false
	case ".json":
		return json.NewStore(&sopsconfig.JSONStoreConfig{}), false
	case ".env":
		return dotenv.NewStore(&sopsconfig.DotenvStoreConfig{}), false
	case ".ini":
		return ini.NewStore(&sopsconfig.INIStoreConfig{}), false
	}
	return json.NewBinaryStore(&sopsconfig.JSONBinaryStoreConfig{}), true
}

func binary(name string) bool {
	_, is := store(name)
	return is
}

// open decrypts a file and checks that nobody changed it without the key.
func open(name string, text []byte, identities []age.Identity) (any, error) {
	s, binary := store(name)
	if _, is := s.(*yaml.Store); is && aliased(text) {
		return nil, invalid("not a file that sops encrypted: it has an alias")
	}
	tree, err := s.LoadEncryptedFile(text)
	if err != nil {
		return nil, invalid("not a file that sops encrypted")
	}
	keys := []keyservice.KeyServiceClient{keyring(identities)}
	key, err := tree.Metadata.GetDataKeyWithKeyServices(keys, nil)
	if err != nil {
		return nil, fmt.Errorf("none of the identities is one that it was encrypted for: %w", config.ErrDenied)
	}
	cipher := aes.NewCipher()
	mac, err := tree.Decrypt(key, cipher)
	if err != nil {
		return nil, invalid("can't be decrypted: it was changed without the key")
	}
	want, err := cipher.Decrypt(tree.Metadata.MessageAuthenticationCode, key, tree.Metadata.LastModified.Format(time.RFC3339))
	if err != nil || want != mac {
		return nil, invalid("was changed without the key")
	}
	if len(tree.Branches) == 0 {
		return sops.TreeBranch{}, nil
	}
	if binary {
		for _, item := range tree.Branches[0] {
			if item.Key == "data" {
				return item.Value, nil
			}
		}
	}
	return tree.Branches[0], nil
}

// aliased reports whether YAML has an alias in one of its documents. SOPS writes
// none, and in documents behind the first one it follows them without a bound: a
// circle would end the program.
func aliased(text []byte) bool {
	for d := yamlnode.NewDecoder(bytes.NewReader(text)); ; {
		var document yamlnode.Node
		if d.Decode(&document) != nil { // the end, or what sops refuses, too
			return false
		}
		if hasAlias(&document) {
			return true
		}
	}
}

func hasAlias(n *yamlnode.Node) bool {
	return n.Kind == yamlnode.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

// find returns the value at a path, as text.
func find(tree any, path []string) (string, error) {
	for _, key := range path {
		next, ok := step(tree, key)
		if !ok {
			return "", fmt.Errorf("no value at the path: %w", config.ErrNotFound)
		}
		tree = next
	}
	switch v := tree.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case bool, int, int64, uint64:
		return fmt.Sprint(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case nil:
		return "", fmt.Errorf("null at the path: %w", config.ErrNotFound)
	}
	return "", fmt.Errorf("a list or an object at the path, want one value: %w", config.ErrInvalid)
}

// step goes from an object or a list to one of its values.
func step(tree any, key string) (any, bool) {
	switch v := tree.(type) {
	case sops.TreeBranch:
		for _, item := range v {
			if _, comment := item.Key.(sops.Comment); !comment && fmt.Sprint(item.Key) == key {
				return item.Value, true
			}
		}
	case []any:
		i, err := strconv.Atoi(key)
		for _, value := range v {
			if _, comment := value.(sops.Comment); comment {
				continue
			}
			if err == nil && i == 0 {
				return value, true
			}
			i--
		}
	}
	return nil, false
}

// keyring answers for age alone, by the identities that it is.
type keyring []age.Identity

func (k keyring) Decrypt(_ context.Context, in *keyservice.DecryptRequest, _ ...grpc.CallOption) (*keyservice.DecryptResponse, error) {
	if in.GetKey().GetAgeKey() == nil {
		return nil, errors.New("not a key of age")
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(in.Ciphertext)), k...)
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, 1<<10))
	return &keyservice.DecryptResponse{Plaintext: plain}, err
}

func (keyring) Encrypt(context.Context, *keyservice.EncryptRequest, ...grpc.CallOption) (*keyservice.EncryptResponse, error) {
	return nil, errors.New("it only decrypts")
}
