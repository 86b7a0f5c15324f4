package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/listeners"
)

// The scripts publish what they change. Client-side caching could not report it: Redis
// sends one invalidation for each answer that a client has cached, and a Touch uses it up.
//
// The channel is a sharded one. In a cluster, the node that runs the scripts then sends
// the messages itself, and a lost connection to it means that messages may be missing;
// others would come over the cluster's bus, which loses messages without a sign.

var _ auth.Notifier = (*Store)(nil)

// A subscription is what calls the functions of Notify.
type subscription struct {
	start  sync.Mutex // held while Notify waits for it to be established first
	mu     sync.Mutex
	end    context.CancelFunc // nil if there is none
	ended  chan struct{}
	closed bool
}

var errClosed = errors.New("redisstore: the Store is closed")

// Notify implements auth.Notifier. The first call subscribes to a channel of Redis, on one
// connection for the Store, until Close. It returns an error if Redis refuses that. f is
// called with kind zero after each connection and each loss of it.
func (s *Store) Notify(f func(kind auth.Kind, userID string)) (stop func(), err error) {
	s.subscription.start.Lock()
	defer s.subscription.start.Unlock()
	stop, ok := s.listeners.Add(f)
	if !ok {
		return nil, errClosed
	}
	if err := <-s.startListening(); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// Close ends what Notify has started: no function is called anymore. It does not close
// the client, and the other methods keep working. It can be called more than once. It
// returns an error if a function of Notify has not returned within 5 seconds.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), listeners.StopTimeout)
	defer cancel()
	sub := &s.subscription
	sub.mu.Lock()
	sub.closed = true
	end, ended := sub.end, sub.ended
	sub.mu.Unlock()
	if end != nil {
		end()
	}
	if !s.listeners.Close(ctx) {
		return fmt.Errorf("redisstore: Close: a function of Notify did not return within %v", listeners.StopTimeout)
	}
	if end != nil {
		<-ended
	}
	return nil
}

// startListening subscribes unless that was done before. The channel receives the error of
// Redis if it refuses the subscription, and nil otherwise, even if Redis is unavailable.
func (s *Store) startListening() <-chan error {
	sub := &s.subscription
	sub.mu.Lock()
	defer sub.mu.Unlock()
	first := make(chan error, 1)
	switch {
	case sub.closed:
		first <- errClosed
		return first
	case sub.end != nil:
		first <- nil
		return first
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	sub.end, sub.ended = end, ended
	go func() {
		defer close(ended)
		s.listen(ctx, first)
	}()
	return first
}

const maxPause = 2 * time.Second

// listen subscribes again whenever the subscription ends.
func (s *Store) listen(ctx context.Context, first chan error) {
	isFirst, pause := true, 10*time.Millisecond
	answer := func(err error) {
		if isFirst {
			isFirst = false
			first <- err
		}
	}
	defer answer(errClosed)
	for {
		err := s.subscribe(ctx, func() {
			pause = 10 * time.Millisecond
			s.missed()
			answer(nil)
		})
		if ctx.Err() != nil {
			return
		}
		if _, refused := rueidis.IsRedisErr(err); refused && isFirst {
			s.giveUp()
			answer(err)
			return
		}
		answer(nil)
		s.missed()
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause)):
			pause = min(2*pause, maxPause)
		}
	}
}

// giveUp makes the next Notify try again.
func (s *Store) giveUp() {
	s.subscription.mu.Lock()
	defer s.subscription.mu.Unlock()
	s.subscription.end()
	s.subscription.end = nil
}

var errUnsubscribed = errors.New("redisstore: Redis has ended the subscription")

// subscribe calls established, and returns when the subscription has ended.
func (s *Store) subscribe(ctx context.Context, established func()) error {
	conn, release := s.client.Dedicate()
	defer release()
	moved := make(chan struct{}, 1)
	broken := conn.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage: func(m rueidis.PubSubMessage) { s.received(m.Message) },
		OnSubscription: func(e rueidis.PubSubSubscription) {
			if e.Kind == "sunsubscribe" { // a cluster has moved the slot
				select {
				case moved <- struct{}{}:
				default:
				}
			}
		},
	})
	subscribing, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	command := conn.B().Ssubscribe().Channel(s.prefix + "changes").Build().Pin()
	if err := conn.Do(subscribing, command).Error(); err != nil {
		return err
	}
	established()
	select {
	case err := <-broken:
		return err
	case <-moved:
		return errUnsubscribed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// received handles a message: a kind, a user ID as a text, and digests.
func (s *Store) received(message string) {
	var user [1]string
	if len(message) < 6 || !isKind(auth.Kind(message[0]-'0')) {
		s.missed()
		return
	}
	length, ok := parseDigits(message[1:6])
	end := 6 + int(length)
	if !ok || end > len(message) || !splitTexts(message[1:end], user[:]) {
		s.missed()
		return
	}
	for digests := message[end:]; len(digests) >= len(auth.Digest{}); digests = digests[len(auth.Digest{}):] {
		// The invalidation of a cached answer comes on another connection, perhaps later.
		s.guards.set(auth.Digest([]byte(digests[:len(auth.Digest{})])), changed, time.Time{})
	}
	s.listeners.Call(auth.Kind(message[0]-'0'), user[0])
}

// missed reports that changes of any user may have been missed.
func (s *Store) missed() {
	s.guards.setAll()
	s.listeners.Call(0, "")
}
