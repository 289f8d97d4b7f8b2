// oras-go is a client made of ORAS' own library: push, pull, copy, tags, delete, attach, discover.
// The command line of ORAS is not published as a Go module that can be checked, its library is.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

const usage = `usage: oras-go COMMAND
  push LAYOUT TAG REFERENCE       a manifest of an OCI layout, with everything below it
  pull REFERENCE LAYOUT           into an OCI layout; prints the digest
  copy REFERENCE REFERENCE        with referrers
  tags REPOSITORY
  delete REFERENCE
  attach REFERENCE TYPE FILE      a referrer of TYPE with FILE as its one layer; prints its digest
  discover REFERENCE TYPE         digests of the referrers of TYPE
  resume REPOSITORY DIGEST FILE   the bytes of a blob that FILE does not have yet
Credentials are read from DOCKER_CONFIG, the trusted CA from SSL_CERT_FILE; PLAIN_HTTP=1 goes without TLS.`

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "oras-go:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, words []string) error {
	need := map[string]int{"push": 3, "pull": 2, "copy": 2, "tags": 1, "delete": 1, "attach": 3, "discover": 2, "resume": 3}
	if len(words) == 0 || need[words[0]] == 0 || len(words)-1 != need[words[0]] {
		return errors.New(usage)
	}
	command, words := words[0], words[1:]
	client, err := newClient()
	if err != nil {
		return err
	}
	switch command {
	case "push":
		layout, err := oci.New(words[0])
		if err != nil {
			return err
		}
		to, err := client.repository(words[2])
		if err != nil {
			return err
		}
		pushed, err := oras.Copy(ctx, layout, words[1], to, to.Reference.Reference, oras.DefaultCopyOptions)
		return say(pushed.Digest, err)
	case "pull":
		from, err := client.repository(words[0])
		if err != nil {
			return err
		}
		layout, err := oci.New(words[1])
		if err != nil {
			return err
		}
		pulled, err := oras.Copy(ctx, from, from.Reference.Reference, layout, "", oras.DefaultCopyOptions)
		return say(pulled.Digest, err)
	case "copy":
		from, err := client.repository(words[0])
		if err != nil {
			return err
		}
		to, err := client.repository(words[1])
		if err != nil {
			return err
		}
		options := oras.DefaultExtendedCopyOptions
		options.MountFrom = func(context.Context, v1.Descriptor) ([]string, error) {
			return []string{from.Reference.Repository}, nil
		}
		copied, err := oras.ExtendedCopy(ctx, from, from.Reference.Reference, to, to.Reference.Reference, options)
		return say(copied.Digest, err)
	case "tags":
		repository, err := client.repository(words[0])
		if err != nil {
			return err
		}
		return repository.Tags(ctx, "", func(tags []string) error {
			for _, tag := range tags {
				fmt.Println(tag)
			}
			return nil
		})
	case "delete":
		repository, err := client.repository(words[0])
		if err != nil {
			return err
		}
		found, err := repository.Resolve(ctx, repository.Reference.Reference)
		if err != nil {
			return err
		}
		return repository.Delete(ctx, found)
	case "attach":
		return client.attach(ctx, words[0], words[1], words[2])
	case "discover":
		repository, err := client.repository(words[0])
		if err != nil {
			return err
		}
		subject, err := repository.Resolve(ctx, repository.Reference.Reference)
		if err != nil {
			return err
		}
		return repository.Referrers(ctx, subject, words[1], func(found []v1.Descriptor) error {
			for _, referrer := range found {
				fmt.Println(referrer.Digest)
			}
			return nil
		})
	}
	return client.resume(ctx, words[0], words[1], words[2])
}

type client struct {
	plain bool
	http  *auth.Client
}

func newClient() (*client, error) {
	pool := x509.NewCertPool()
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		trusted, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		pool.AppendCertsFromPEM(trusted)
	}
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	return &client{os.Getenv("PLAIN_HTTP") != "", &auth.Client{
		Client:     &http.Client{Transport: retry.NewTransport(transport)},
		Cache:      auth.NewCache(),
		Credential: credentials.Credential(store),
	}}, nil
}

func (c *client) repository(reference string) (*remote.Repository, error) {
	repository, err := remote.NewRepository(reference)
	if err != nil {
		return nil, err
	}
	repository.Client, repository.PlainHTTP = c.http, c.plain
	return repository, nil
}

func (c *client) attach(ctx context.Context, reference, kind, file string) error {
	repository, err := c.repository(reference)
	if err != nil {
		return err
	}
	subject, err := repository.Resolve(ctx, repository.Reference.Reference)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	layer, err := oras.PushBytes(ctx, repository, "application/octet-stream", data)
	if err != nil {
		return err
	}
	options := oras.PackManifestOptions{Subject: &subject, Layers: []v1.Descriptor{layer}}
	attached, err := oras.PackManifest(ctx, repository, oras.PackManifestVersion1_1, kind, options)
	return say(attached.Digest, err)
}

// resume fetches what FILE lacks by seeking, which the library turns into a Range request.
func (c *client) resume(ctx context.Context, name, digest, file string) error {
	repository, err := c.repository(name)
	if err != nil {
		return err
	}
	_, err = registry.ParseReference(name + "@" + digest)
	if err != nil {
		return err
	}
	described, stream, err := repository.Blobs().FetchReference(ctx, digest)
	if err != nil {
		return err
	}
	defer stream.Close()
	out, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	have, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	seeker, ok := stream.(io.Seeker)
	if !ok {
		return errors.New("the registry does not offer ranges")
	}
	if _, err := seeker.Seek(have, io.SeekStart); err != nil {
		return err
	}
	added, err := io.Copy(out, stream)
	if err != nil {
		return err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return err
	}
	verify := content.NewVerifyReader(out, described)
	if _, err := io.Copy(io.Discard, verify); err != nil {
		return err
	}
	if err := verify.Verify(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]int64{"had": have, "added": added})
}

func say(words fmt.Stringer, err error) error {
	if err == nil {
		fmt.Println(strings.TrimSpace(words.String()))
	}
	return err
}
