<?php
// What a test asks the code of a site to do.
require dirname( __DIR__ ) . '/wp-load.php';
$answer = null;
switch ( $_GET['do'] ?? '' ) {
	case 'publish':
		$answer = wp_insert_post( array( 'post_title' => $_GET['title'], 'post_status' => 'publish', 'post_name' => sanitize_title( $_GET['title'] ), 'post_type' => $_GET['type'] ?? 'post' ) );
		break;
	case 'title':
		// As somebody changes it behind WordPress's back.
		$answer = $wpdb->update( $wpdb->options, array( 'option_value' => $_GET['title'] ), array( 'option_name' => 'blogname' ) );
		break;
	case 'keep':
		$answer = wp_cache_set( 'marker', $_GET['value'], 'tested' );
		break;
	case 'kept':
		$answer = array( wp_using_ext_object_cache(), wp_cache_get( 'marker', 'tested' ) );
		break;
	case 'reach':
		// Of another environment: its cached objects, its cached pages, its files.
		$answer = array();
		$redis  = new Redis();
		try {
			$redis->connect( '/run/pressluft-redis/' . $_GET['of'] . '/redis.sock' );
			$answer[] = 'its socket';
		} catch ( RedisException $refused ) {
			unset( $refused );
		}
		foreach ( array( '/run/pressluft-redis/', '/var/cache/pressluft/', '/etc/pressluft/redis/' ) as $place ) {
			foreach ( (array) @scandir( $place . $_GET['of'] ) as $name ) {
				$answer[] = $name ? $place . $name : null;
			}
		}
		$answer = array_filter( $answer );
		break;
	case 'flush':
		$redis = new Redis();
		$redis->connect( WP_REDIS_PATH );
		$answer = $redis->flushAll();
		break;
	case 'flood':
		// A name that cannot be taken away like a file.
		$answer = mkdir( ABSPATH . '../../tmp/purge-pages' ) && touch( ABSPATH . '../../tmp/purge-pages/kept' );
		break;
}
header( 'Content-Type: application/json' );
echo json_encode( $answer );
