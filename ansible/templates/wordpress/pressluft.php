<?php
/**
 * Plugin Name: Pressluft
 * Description: What the fleet repo says about this environment. Changes are overwritten.
 */

defined( 'ABSPATH' ) || exit;

// The database names files that WordPress runs. A name that leads out of its directory, to the
// uploads for one, is not taken, but the first theme that is there, or the language that WordPress
// is written in.
foreach ( array( 'template', 'stylesheet' ) as $pressluft_option ) {
	add_filter(
		'option_' . $pressluft_option,
		static function ( $name ) {
			$plain = is_string( $name ) && ! str_contains( $name, '..' ) && preg_match( '~^[\w.\- ]+(?:/[\w.\- ]+)*\z~u', $name );
			return $plain ? $name : basename( dirname( glob( WP_CONTENT_DIR . '/themes/*/style.css' )[0] ?? '/' ) );
		},
		PHP_INT_MAX
	);
	add_filter(
		'option_' . $pressluft_option . '_root',
		static fn( $root ) => '/themes' === $root || in_array( $root, (array) ( $GLOBALS['wp_theme_directories'] ?? array() ), true ) ? $root : '/themes',
		PHP_INT_MAX
	);
}
unset( $pressluft_option );
foreach ( array( 'locale', 'determine_locale' ) as $pressluft_filter ) {
	add_filter(
		$pressluft_filter,
		static fn( $locale ) => is_string( $locale ) && preg_match( '~^[A-Za-z0-9_@\-]*\z~', $locale ) ? $locale : 'en_US',
		PHP_INT_MAX
	);
}
unset( $pressluft_filter );
{% if env.safety.noindex %}

// A copy must not be indexed. The option in the database stays as production's, so that
// nothing of this is ever carried back.
add_filter( 'pre_option_blog_public', static fn() => '0', PHP_INT_MAX );
add_filter( 'wp_robots', static fn( $robots ) => array( 'noindex' => true, 'nofollow' => true ), PHP_INT_MAX );
{% endif %}
{% if env.safety.mail == "capture" %}

// Mail is kept in a folder of the environment and not sent.
add_filter(
	'pre_wp_mail',
	static function ( $short_circuit, $mail ) {
		$lines = array( 'Date: ' . gmdate( 'r' ) );
		foreach ( array( 'to', 'subject', 'headers' ) as $field ) {
			$value = $mail[ $field ] ?? '';
			$value = is_array( $value ) ? implode( ', ', $value ) : (string) $value;
			$lines[] = ucfirst( $field ) . ': ' . str_replace( array( "\r", "\n" ), ' ', $value );
		}
		$name = gmdate( 'Ymd-His' ) . '-' . bin2hex( random_bytes( 6 ) ) . '.eml';
		$text = implode( "\n", $lines ) . "\n\n" . ( $mail['message'] ?? '' ) . "\n";
		return false !== file_put_contents( {{ (names.root ~ "/mail/")|php_single_quoted }} . $name, $text );
	},
	PHP_INT_MAX,
	2
);
{% elif env.safety.mail == "drop" %}

// Mail is thrown away.
add_filter( 'pre_wp_mail', '__return_true', PHP_INT_MAX );
{% endif %}
