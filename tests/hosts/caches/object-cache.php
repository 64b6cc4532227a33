<?php
/**
 * An object cache for tests: every value is in Redis. Plugins do more; this does what WordPress asks for.
 */

define( 'TESTED_OBJECT_CACHE', true );

class Tested_Object_Cache {
	public $redis;
	private $own = array();
	private $ours = array();

	public function __construct() {
		$this->redis = new Redis();
		$this->redis->connect( WP_REDIS_PATH );
	}

	public function key( $key, $group ) {
		return WP_REDIS_PREFIX . ( $group ? $group : 'default' ) . ':' . $key;
	}

	public function forget_groups( $groups ) {
		$this->own = array_merge( $this->own, (array) $groups );
	}

	public function is_own( $group ) {
		return in_array( $group, $this->own, true );
	}

	public function get( $key, $group, &$found ) {
		$name  = $this->key( $key, $group );
		$value = $this->is_own( $group ) ? ( $this->ours[ $name ] ?? false ) : $this->redis->get( $name );
		$found = false !== $value;
		return $found ? unserialize( $value ) : false;
	}

	public function set( $key, $value, $group, $expire ) {
		$name = $this->key( $key, $group );
		if ( $this->is_own( $group ) ) {
			$this->ours[ $name ] = serialize( $value );
			return true;
		}
		return $expire > 0 ? $this->redis->setex( $name, $expire, serialize( $value ) ) : $this->redis->set( $name, serialize( $value ) );
	}

	public function delete( $key, $group ) {
		$name = $this->key( $key, $group );
		unset( $this->ours[ $name ] );
		return $this->redis->del( $name ) > 0;
	}
}

function wp_cache_init() {
	$GLOBALS['wp_object_cache'] = new Tested_Object_Cache();
}
function wp_cache_get( $key, $group = '', $force = false, &$found = null ) {
	return $GLOBALS['wp_object_cache']->get( $key, $group, $found );
}
function wp_cache_set( $key, $data, $group = '', $expire = 0 ) {
	return $GLOBALS['wp_object_cache']->set( $key, $data, $group, (int) $expire );
}
function wp_cache_add( $key, $data, $group = '', $expire = 0 ) {
	wp_cache_get( $key, $group, false, $found );
	return ! $found && ! wp_suspend_cache_addition() && wp_cache_set( $key, $data, $group, $expire );
}
function wp_cache_replace( $key, $data, $group = '', $expire = 0 ) {
	wp_cache_get( $key, $group, false, $found );
	return $found && wp_cache_set( $key, $data, $group, $expire );
}
function wp_cache_incr( $key, $offset = 1, $group = '' ) {
	$value = wp_cache_get( $key, $group, false, $found );
	$value = max( 0, (int) $value + $offset );
	return $found && wp_cache_set( $key, $value, $group ) ? $value : false;
}
function wp_cache_decr( $key, $offset = 1, $group = '' ) {
	return wp_cache_incr( $key, -$offset, $group );
}
function wp_cache_delete( $key, $group = '' ) {
	return $GLOBALS['wp_object_cache']->delete( $key, $group );
}
function wp_cache_flush() {
	return $GLOBALS['wp_object_cache']->redis->flushDB();
}
function wp_cache_close() {
	return true;
}
function wp_cache_add_global_groups( $groups ) {}
function wp_cache_add_non_persistent_groups( $groups ) {
	$GLOBALS['wp_object_cache']->forget_groups( $groups );
}
function wp_cache_switch_to_blog( $blog_id ) {}
